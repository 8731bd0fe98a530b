"""LoRA and QLoRA fine-tuning as a small, reproducible experiment."""
