"""minituner: from verbs and templates to a LoRA rank ablation and its definition of done."""

from snakemake.utils import min_version

min_version("9.0")


report: "report/workflow.rst"


include: "rules/guards/start.smk"
include: "rules/guards/thrift.smk"


configfile: "params.yaml"


include: "rules/common.smk"


wildcard_constraints:
    rank=r"[1-9]\d*",
    seed=r"\d+",
    run=r"base|nf4|full_s\d+|(lora|qlora)_r\d+_s\d+",


include: "rules/experiment/corpus.smk"
include: "rules/experiment/base.smk"
include: "rules/experiment/counts.smk"
include: "rules/experiment/train.smk"
include: "rules/experiment/qlora.smk"
include: "rules/experiment/evaluate.smk"
include: "rules/experiment/weights.smk"
include: "rules/experiment/verdict.smk"
include: "rules/experiment/page.smk"
include: "rules/studies/science.smk"
include: "rules/studies/memory_scaling.smk"
include: "rules/studies/benchmarks.smk"


rule all:
    """The definition of done, with every table and figure."""
    default_target: True
    input:
        "results/gate.txt",
        REPORTS,


localrules:
    all,
    trained,
    qlora_trained,
    docs,


include: "rules/every_rule.smk"
include: "rules/guards/foreign.smk"
include: "rules/guards/stop.smk"
