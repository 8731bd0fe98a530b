"""Stop if another program put results in place, for Snakemake could not tell whether they are stale.

`dvc pull`, `dvc checkout` and DVC's run cache replace outputs without a word to Snakemake, which
knows an output only by the record it kept when it made it. It would then trust a result of other
settings, or run again what is current. The record holds the output's time of change, to the
nanosecond, so a replaced file shows.
"""

import base64

# Small enough to be read in git, which replaces them on checkout: what they are made of is checked.
IN_GIT = {
    "results/ablation.png",
    "results/definition_of_done.json",
    "results/definition_of_done.md",
    "results/metrics.json",
    "results/values.json",
}


def foreign_outputs():
    """Outputs that exist but are not as Snakemake left them."""
    kept = Path(".snakemake")
    for path in sorted([*Path("data").glob("*.parquet"), *Path("results").rglob("*.*")]):
        name = base64.urlsafe_b64encode(str(path).encode()).decode()
        if (kept / "incomplete" / name).exists() or str(path) in IN_GIT or not path.is_file():
            continue
        record = kept / "metadata" / name
        if record.exists():
            unchanged = json.loads(record.read_text())["endtime"] == path.stat().st_mtime
        else:
            unchanged = not any(
                output.match(str(path)) for rule in workflow.rules for output in rule.output
            )
        if not unchanged:
            yield path


# Not for the processes of single jobs, nor for DVC, which compares a stage's inputs by content and
# calls Snakemake with --allowed-rules; nor where all is made or adopted anew. (The parsed options
# are not at hand yet while the Snakefile is read.)
if workflow.is_main_process and not {"--allowed-rules", "--forceall", "-F"} & set(sys.argv):
    foreign = list(foreign_outputs())
    if foreign:
        others = f" and {len(foreign) - 1} more" if foreign[1:] else ""
        sys.exit(
            f"minituner: error: {foreign[0]}{others}: changed by another program (dvc pull or"
            " checkout?); run `make sync` to check and adopt what DVC put here, or delete it to"
            " have it made again, or everything with `snakemake --forceall all`"
        )
