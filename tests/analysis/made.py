"""Made evaluations: rows of scored sentences, and the settings of a small study."""

import pyarrow as pa

from minituner.foundation import parquet

BOOTSTRAP = {"bootstrap": 400, "confidence": 0.95, "seed": 0}
STUDY = {
    "science": {
        "drift": 0.01,
        "margin": 0.5,
        "examples": [3],
        "convention_ranks": [1, 2],
        "convention_rates": {
            "fixed": [0.001, 0.002, 0.004],
            "proportional": [0.001, 0.002, 0.004],
            "root": [0.001, 0.002, 0.004],
        },
        "target_rates": [0.001, 0.002],
        "directions": [2, 4],
        "direction_rates": [0.01],
        "base_steps": [1, 2],
        "base_gain": 0.05,
        "base_seeds": [1],
        "base_sweep": {"ranks": [1, 2], "qlora_ranks": [1], "seeds": [0, 1]},
    },
    "base": {"steps": 2},
    "model": {"n_layer": 2, "d_model": 8},
    "full": {"learning_rate": 0.0001},
    "sweep": {"ranks": [1, 2], "qlora_ranks": [1], "seeds": [0, 1]},
    "evaluate": {"bootstrap": 400, "confidence": 0.95, "seed": 0},
    "tuning": {
        "steps": 2,
        "batch_size": 4,
        "shards": 1,
        "learning_rate": 0.001,
        "warmup": 1,
        "eval_every": 2,
    },
    "lora": {"target_modules": ["q_proj", "v_proj"], "alpha": 4, "dropout": 0.0},
    "subsets": {"train": 4},
    "definition_of_done": {"accuracy_gain": 0.1, "perplexity_drift": 0.05},
}


def scored(chosen, pairs=None, nats=30.0):
    """An evaluation: irregular test and validation rows, and control ones of `nats` a sentence."""
    rows = []
    for split in ("val", "test"):
        for i, hit in enumerate(chosen):
            pair = pairs[i] if pairs else f"p{i}"
            for kind, tense in (("irregular", "past_simple"), ("control", "past_simple")):
                rows.append(
                    {
                        "id": f"{split}-{kind}-{i}",
                        "set": kind,
                        "split": split,
                        "pair": f"{split}-{pair}",
                        "verb_lemma": "go" if kind == "irregular" else "walk",
                        "tense": tense,
                        "chosen": bool(hit),
                        "exact": bool(hit),
                        "margin": 1.0 if hit else -1.0,
                        "correct_logp": -0.5 if hit else -1.5,
                        "form_nats": 2.0,
                        "form_symbols": 5,
                        "sentence_nats": nats,
                        "sentence_symbols": 30,
                    }
                )
    return rows


def write_runs(folder, **runs):
    """Each run's rows as `NAME.parquet`; their paths."""
    for name, rows in runs.items():
        parquet.write_table(folder / f"{name}.parquet", pa.Table.from_pylist(rows))
    return sorted(folder.glob("*.parquet"))
