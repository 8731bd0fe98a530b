"""minituner: from verbs and templates to a LoRA rank ablation and its definition of done."""

from snakemake.utils import min_version

min_version("9.0")


report: "report/workflow.rst"


include: "rules/check.smk"


configfile: "params.yaml"


include: "rules/common.smk"


wildcard_constraints:
    rank=r"[1-9]\d*",
    seed=r"\d+",
    run=r"base|nf4|full_s\d+|(lora|qlora)_r\d+_s\d+",


include: "rules/corpus.smk"
include: "rules/subsets.smk"
include: "rules/base.smk"
include: "rules/counts.smk"
include: "rules/train.smk"
include: "rules/quantize.smk"
include: "rules/qlora.smk"
include: "rules/memory.smk"
include: "rules/evaluate.smk"
include: "rules/plot.smk"
include: "rules/weights.smk"
include: "rules/done.smk"
include: "rules/page.smk"
include: "rules/docs.smk"
include: "rules/memory_scaling.smk"
include: "rules/parity.smk"
include: "rules/reproducibility.smk"
include: "rules/benchmarks.smk"
include: "rules/science.smk"
include: "rules/scale.smk"
include: "rules/guard.smk"
include: "rules/stop.smk"


localrules:
    all,
    trained,
    qlora_trained,
    docs,


rule all:
    """The definition of done, with every table and figure."""
    default_target: True
    input:
        "results/gate.txt",
        REPORTS,
