"""Pretrain MiniGPT on the corpus."""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from minituner.foundation.errors import UserError
from minituner.foundation.text import positive

if TYPE_CHECKING:
    from minituner.model import MiniGPT

SETTINGS = ("model", "base")
PATHS = ("corpus", "out")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--threads", type=positive)


def run(args: argparse.Namespace) -> None:
    """Train the base and write it, or check and copy the user's own.

    Only the train split is learnt from, so no prompt of the test split is ever seen. A killed run
    is resumed.
    """
    from minituner import compute, data, train
    from minituner.checkpoints.models import save_model
    from minituner.checkpoints.names import CURVE_FILE
    from minituner.checkpoints.resume import Resume
    from minituner.foundation import parquet, seeds, storage
    from minituner.model import MiniGPT, ModelConfig
    from minituner.workflow import settings

    compute.pin()
    chosen = settings.load(args.settings, *SETTINGS)
    options = chosen["base"]
    with Resume(args.out, [args.corpus], settings=chosen) as resume:
        table = parquet.read_table(args.corpus, ["text", "correct_text", "split"])
        said, correct, splits = (column.to_pylist() for column in table.columns)
        texts = defaultdict(list)
        for text, split in zip(said, splits, strict=True):
            texts[split].append(text)
        vocab = data.vocabulary([text for split in texts.values() for text in split])
        if options["checkpoint"]:
            model = users_base(Path(options["checkpoint"]), vocab, args.corpus)
            data.check_fits([*said, *correct], model.config.context, args.corpus)
            validation = train.whole_sentences(texts["val"], model.config.vocab)
            loss = train.validation_loss(compute.accelerate(model), validation)
            curve = [{"step": 0, "val_loss": loss}]
        else:
            config = ModelConfig(vocab=vocab, **chosen["model"])
            data.check_fits([*said, *correct], config.context, args.corpus)
            model = MiniGPT(config, seeds.generator(options["seed"], "base", "init"))
            curve = train.pretrain(
                compute.accelerate(model),
                options,
                texts["train"],
                train.whole_sentences(texts["val"], vocab),
                adamw=compute.AdamW,
                clip=compute.clip_grad_norm_,
                on_row=train.show_losses,
                resume=resume,
                threads=args.threads,
            )
        storage.write_rows(args.out / CURVE_FILE, curve)
        save_model(args.out, model)


def users_base(folder: Path, vocab: str, corpus: Path) -> "MiniGPT":
    """The user's own base, if it knows all symbols of the corpus.

    Raises:
        UserError: naming those that it lacks.
    """
    from minituner.checkpoints.models import load_model
    from minituner.checkpoints.names import CONFIG_FILE

    model = load_model(folder)
    lacking = sorted(set(vocab) - set(model.config.vocab))
    if lacking:
        raise UserError(
            f"{folder}/{CONFIG_FILE}: model.vocab: lacks {', '.join(map(repr, lacking))} of "
            f"{corpus}; name a base that was trained on such text, or null to train one here"
        )
    return model
