"""Stop if files were put in place behind Snakemake's back, for it could not tell what is stale.

`dvc pull`, `dvc checkout` and DVC's run cache replace outputs without a word to Snakemake, which
knows an output only by the record it kept when it made it. It would then trust a result of other
settings, or run again what is current. The record holds the output's time of change, to the
nanosecond, so a replaced file shows. An input that `cp -p`, tar or rsync replaced by one of an older
date looks unchanged to it: the record holds its checksum.
"""

import base64
import functools
import os
import time

from minituner.foundation import storage

# Small enough to be read in git, which replaces them on checkout: what they are made of is checked.
IN_GIT = {
    "results/ablation.png",
    "results/definition_of_done.json",
    "results/definition_of_done.md",
    "results/metrics.json",
    "results/model_card.md",
    "results/values.json",
    "results/verdict.png",
}


@functools.cache
def recorded(record):
    """What Snakemake recorded of an output; nothing in a record cut short by a power loss."""
    try:
        return json.loads(record.read_text())
    except ValueError:
        return {}


def foreign_outputs():
    """Outputs that exist but are not as Snakemake left them."""
    kept = Path(".snakemake")
    for path in sorted([*Path("data").glob("*.parquet"), *Path("results").rglob("*.*")]):
        name = base64.urlsafe_b64encode(str(path).encode()).decode()
        if (kept / "incomplete" / name).exists() or str(path) in IN_GIT or not path.is_file():
            continue
        record = kept / "metadata" / name
        if record.exists():
            unchanged = recorded(record).get("endtime") == path.stat().st_mtime
        else:
            unchanged = not any(
                output.match(str(path)) for rule in workflow.rules for output in rule.output
            )
        if not unchanged:
            yield path


def replaced_inputs():
    """Inputs that came after what was made of them, yet have an older date and other content."""
    state = functools.cache(lambda name: os.stat(name) if os.path.isfile(name) else None)
    content = functools.cache(lambda path: f"sha256:{storage.sha256(path)}")
    for record in map(recorded, Path(".snakemake/metadata").glob("*")):
        made = record.get("endtime") or 0
        for name, checksum in (record.get("input_checksums") or {}).items():
            now = state(name)
            if now and now.st_mtime <= made < now.st_ctime and content(Path(name)) != checksum:
                yield name


# Not for the processes of single jobs, nor for DVC, which compares a stage's inputs by content and
# calls Snakemake with --allowed-rules; nor where all is made or adopted anew. (The parsed options
# are not at hand yet while the Snakefile is read.) Nor while another Snakemake works here, or died
# here: its lock comes first, and Snakemake says how to lift that.
UNGUARDED = {"--allowed-rules", "--forceall", "-F", "--unlock"} & set(sys.argv)
LOCKED = any(Path(".snakemake/locks").glob("*.lock"))
if workflow.is_main_process and not UNGUARDED and not LOCKED:
    inputs = [*Path("data").glob("*.*"), *Path("results").rglob("*.*")]
    inputs += [*Path("minituner").rglob("*.py"), *Path("minituner").glob("*/template/*")]
    future = [path for path in inputs if path.stat().st_mtime > time.time() + 60]
    if future:
        # Snakemake would make results of them and then throw these away for being older.
        sys.exit(
            f"minituner: error: {future[0]}: changed in the future; set the clock right, or, if it"
            " was wrong before, run `find * -newermt now -exec touch {} +` and `make sync`"
        )
    foreign = list(foreign_outputs())
    if foreign:
        others = f" and {len(foreign) - 1} more" if foreign[1:] else ""
        sys.exit(
            f"minituner: error: {foreign[0]}{others}: changed by another program (dvc pull or"
            " checkout?); run `make sync` to check and adopt what DVC put here, or delete it and"
            f" make it again with `snakemake {foreign[0]}`, or all with `snakemake --forceall all`"
        )
    for name in replaced_inputs():
        sys.exit(
            f"minituner: error: {name}: replaced by a file of an older date, which Snakemake takes for"
            f" unchanged; run `touch {name}` and then the same again"
        )
