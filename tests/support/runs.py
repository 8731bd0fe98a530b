"""Settings of short runs."""

TUNING = {"steps": 8, "batch_size": 4, "learning_rate": 1e-2, "warmup": 2, "eval_every": 4}
LORA = {"target_modules": ["q_proj", "v_proj"], "alpha": 4, "dropout": 0.0}
NF4 = {"blocksize": 64, "double_quant": False}
SETTINGS = {"tuning": TUNING, "lora": LORA, "full": {"learning_rate": 1e-3}}
MODEL = {"n_layer": 1, "n_head": 2, "d_model": 16, "d_ff": 32, "context": 64}
BASE = {**TUNING, "checkpoint": None, "seed": 0, "weight_decay": 0.01, "learning_rate": 1e-3}
