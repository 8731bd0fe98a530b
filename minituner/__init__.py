"""LoRA and QLoRA on a GPT small enough to study."""

from minituner import pinning

pinning.pin_environment()
