"""Logits on an equal base agree to the bit, those on a quantized one within bounds."""

from minituner.checkpoints.names import file_bytes
from minituner.foundation import parquet
from tests.support.command import call
from tests.support.runs import LORA, NF4


def test_agreement_is_zero_on_an_equal_base_and_positive_on_a_quantized_one(
    base, irregular, control, tmp_path
):
    tuning = {"steps": 3, "batch_size": 4, "learning_rate": 1e-2, "warmup": 1, "eval_every": 3}
    adapter, packed = tmp_path / "lora_r2_s0", tmp_path / "nf4"
    settings = {"lora": LORA, "tuning": tuning}
    options = {"base": base, "irregular": irregular}
    call("train", given=settings, method="lora", rank=2, seed=0, out=adapter, **options)
    call("quantize", given={"nf4": NF4}, base=base, out=packed)
    for other, low, high in ((base, 0, 0), (packed, 1e-6, 1)):
        out = tmp_path / "agreement.parquet"
        call("agreement", nf4=other, adapters=[adapter], control=control, out=out, **options)
        rows = parquet.read_table(out).to_pylist()
        assert [row["adapter"] for row in rows] == [None, "lora_r2_s0"]
        for row in rows:
            assert low <= row["mean_abs"] <= row["max_abs"] <= high
    assert file_bytes(adapter) > 0
