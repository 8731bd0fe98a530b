"""Measure a step's memory."""

import argparse

SETTINGS = ("lora", "tuning.batch_size", "sweep.qlora_ranks")
PATHS = ("base", "nf4", "irregular", "out")


def run(args: argparse.Namespace) -> None:
    """Measure full fine-tuning, and LoRA and QLoRA at each QLoRA rank, on one and the same batch.

    Writes `memory.parquet`, `.csv` and `.md`: each bucket measured and predicted.
    """
    import pyarrow as pa

    from minituner import compute, data
    from minituner.budget import formula, measure, shapes
    from minituner.checkpoints.models import load_model, read_config
    from minituner.corpus import subsets
    from minituner.foundation import parquet, progress, storage
    from minituner.lora import wrap_minigpt_with_lora
    from minituner.reporting.budget_pages import of_memory
    from minituner.workflow import settings

    compute.pin()
    chosen = settings.load(args.settings, *SETTINGS)
    lora, ranks = chosen["lora"], chosen["sweep"]["qlora_ranks"]
    quantization = read_config(args.nf4)[1]
    scheme = {key: quantization[key] for key in ("blocksize", "double_quant")}
    sentences = subsets.read_irregular(args.irregular, "train")[: chosen["tuning"]["batch_size"]]
    texts, seen = zip(*data.completions(sentences), strict=True)
    regimes = [formula.Regime("full")]
    regimes += [
        formula.Regime(method, rank, formula.targets_of(lora["target_modules"]), **scheme)
        for method in ("lora", "qlora")
        for rank in ranks
    ]
    rows = []
    for regime in progress.bar(regimes, "measuring", "regimes"):
        model = load_model(args.nf4 if regime.method == "qlora" else args.base)
        if regime.rank:
            wrap_minigpt_with_lora(model, regime.rank, lora["alpha"], lora["target_modules"])
        fast = compute.accelerate(model)
        ids, targets = data.batch(texts, model.config.vocab, seen)
        measured = measure.step_bytes(fast, ids, targets)
        symbols, looked = fast.sizes(ids, targets)
        predicted = formula.count(shapes.of(model.config), regime, symbols, looked=looked)
        row = {"regime": regime.name, "method": regime.method, "rank": regime.rank}
        for bucket in formula.BUCKETS:
            row[f"{bucket}_bytes_measured"] = measured[bucket]
            row[f"{bucket}_bytes_predicted"] = predicted[f"{bucket}_bytes"]
        row["total_bytes_measured"] = sum(measured.values())
        row["linears_bytes_measured"] = measure.linears_bytes(model)
        rows.append(row)
    table = pa.Table.from_pylist(rows)
    parquet.write_table(args.out / "memory.parquet", table)
    parquet.write_table(args.out / "memory.csv", table)
    storage.write_text(args.out / "memory.md", of_memory(rows, len(ids), symbols))
