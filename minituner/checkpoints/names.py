"""The files of models and adapters, and what can be told of them without reading a tensor."""

from pathlib import Path

from minituner.foundation import storage

MODEL_FILE, CONFIG_FILE = "model.safetensors", "config.json"
ADAPTER_FILE, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
CURVE_FILE = "curve.csv"


def base_hash(folder: Path) -> str:
    """What an adapter records of the base it was trained on: the hash of its weights' file."""
    return storage.sha256(folder / MODEL_FILE)


def file_bytes(folder: Path) -> int:
    """Bytes on disk of a checkpoint's weights and, for an adapter, of its JSON too."""
    paths = [folder / name for name in (MODEL_FILE, ADAPTER_FILE, ADAPTER_CONFIG)]
    return sum(storage.reading(path).stat().st_size for path in paths if path.exists())
