"""psigraph: from raw molecular structures to trained models and a report.

Reads and validates the configuration, includes one rule file per stage and names the targets people type:
all, features, graphs, train_FAMILY and evaluate_FAMILY (delta, regional, affinity), leaderboard,
leaderboard_affinity, search, find_lr, report.
"""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Scripts use the library of this clone, whatever else is installed.
sys.path.insert(0, str(Path(workflow.basedir) / "src"))
shell.prefix(f"set -euo pipefail; export PYTHONPATH='{sys.path[0]}'${{{{PYTHONPATH:+:$PYTHONPATH}}}}; ")

if "datasets" not in config:  # --configfile replaces config.yaml, --config changes single values of it

    configfile: Path(workflow.basedir) / "config.yaml"


resource_scopes:
    gpu="local",


wildcard_constraints:
    dataset="[^/]+",
    level="[^/]+",
    graphset="[^/]+",
    experiment="[^/]+",
    architecture="[^/]+",
    batch=r"\d+",
    shard=r"\d+",
    seed=r"\d+",


include: "rules/common.smk"
include: "rules/runs.smk"
include: "rules/structures.smk"
include: "rules/quantum.smk"
include: "rules/descriptors.smk"
include: "rules/graphs.smk"
include: "rules/train.smk"
include: "rules/search.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


onstart:
    hold_results()


rule all:
    default_target: True
    input:
        "results/report/report.html",
        "results/report/summary.csv",
    localrule: True
    threads: 1
    resources:
        gpu=0,
        mem_mb=500,
        runtime=5,


rule features:
    input:
        all_quantum_files(),
        all_descriptor_files(),
        all_shielding_files(),
    localrule: True
    threads: 1
    resources:
        gpu=0,
        mem_mb=500,
        runtime=5,


rule graphs:
    input:
        all_shards(),
    localrule: True
    threads: 1
    resources:
        gpu=0,
        mem_mb=500,
        runtime=5,


for family in FAMILIES:

    rule:
        name:
            f"train_{family}"
        input:
            models_of_family(family),
        localrule: True
        threads: 1
        resources:
            gpu=0,
            mem_mb=500,
            runtime=5,

    rule:
        name:
            f"evaluate_{family}"
        input:
            evaluations_of_family(family),
        localrule: True
        threads: 1
        resources:
            gpu=0,
            mem_mb=500,
            runtime=5,


rule report:
    input:
        rules.all.input,
    localrule: True
    threads: 1
    resources:
        gpu=0,
        mem_mb=500,
        runtime=5,
