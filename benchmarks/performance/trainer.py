"""What people write to tune one adapter, with Trainer and PEFT: same model and settings."""

import sys
from pathlib import Path

import peft
import torch
import torch.nn.functional as F
import transformers

from minituner import data
from minituner.checkpoints.models import load_model
from minituner.corpus import subsets
from minituner.model import IGNORE
from minituner.workflow import settings


class WithLoss(torch.nn.Module):
    """A MiniGPT as Trainer wants it: labels in, loss and logits out."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The loss of the symbols that are not masked."""
        logits = self.model(input_ids)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE)
        return {"loss": loss, "logits": logits}


def main(base: str, irregular: str, out: str) -> None:
    """Tune on the same sentences and save the adapter in `out`."""
    values = settings.load("params.yaml", "lora", "tuning")
    tuning = values["tuning"]
    model = load_model(Path(base))
    config = peft.LoraConfig(
        r=8, lora_alpha=values["lora"]["alpha"], target_modules=values["lora"]["target_modules"]
    )
    wrapped = peft.get_peft_model(model, config)

    def collate(examples: list[dict]) -> dict[str, torch.Tensor]:
        texts, seen = zip(*(example["example"] for example in examples), strict=True)
        ids, targets = data.batch(texts, model.config.vocab, seen)
        return {"input_ids": ids, "labels": targets}

    splits = {
        split: [
            {"example": example}
            for example in data.completions(subsets.read_irregular(Path(irregular), split))
        ]
        for split in ("train", "val")
    }
    arguments = transformers.TrainingArguments(
        output_dir=out,
        max_steps=tuning["steps"],
        per_device_train_batch_size=tuning["batch_size"],
        per_device_eval_batch_size=64,
        learning_rate=tuning["learning_rate"],
        warmup_steps=tuning["warmup"],
        eval_strategy="steps",
        eval_steps=tuning["eval_every"],
        lr_scheduler_type="cosine",
        prediction_loss_only=True,
        remove_unused_columns=False,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(
        model=WithLoss(wrapped),
        args=arguments,
        train_dataset=splits["train"],
        eval_dataset=splits["val"],
        data_collator=collate,
    )
    trainer.train()
    wrapped.save_pretrained(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
