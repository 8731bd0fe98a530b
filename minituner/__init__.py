"""LoRA and QLoRA on a GPT small enough to study."""

from minituner.foundation import environment

environment.pin_environment()
