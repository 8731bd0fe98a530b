"""LoRA and QLoRA on a GPT small enough to study."""

from minituner.foundation import environment as pinning

pinning.pin_environment()
