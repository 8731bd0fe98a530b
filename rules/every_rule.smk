"""What every rule has without saying so: a log, a benchmark and the environment.

They are `logs/RULE.log` and `logs/benchmarks/RULE.tsv` or, where a rule has wildcards, a file for each
job in a folder RULE: `logs/train/rank8_seed0.log`. A rule that only gathers files has none.
"""

for each in workflow.rules:
    if each.shellcmd:
        names = sorted(each.wildcard_names)
        job = "_".join(f"{name if names[1:] else ''}{{{name}}}" for name in names)
        place = f"{each.name}/{job}" if names else each.name
        each.log_modifier = each.benchmark_modifier = workflow.modifier.path_modifier
        each.set_log(f"logs/{place}.log")
        each.benchmark = f"logs/benchmarks/{place}.tsv"
        each.conda_env = os.path.join(workflow.basedir, "environment.yml")
