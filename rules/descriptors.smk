"""Structures to features that need no Psi4: Lewis structures, chirality, sterics, free atoms, D4 dispersion; shieldings.

In: structure stores. Out: results/descriptors/{dataset}.h5, independent of the level of theory, and, where a level asks
for `nmr_shielding`, results/shieldings/{dataset}/{level}/{batch}.h5, by PySCF in its own process.
"""


rule descriptors:
    input:
        structures="results/structures/{dataset}.h5",
        script=script("descriptors.py"),
        modules=modules(
            "descriptors",
            "quantum/table",
            "quantum/system",
            "quantum/store_writer",
            "structures/geometry",
            "structures/identity",
            "stores",
            "units",
        ),
    output:
        ensure("results/descriptors/{dataset}.h5", non_empty=True),
    log:
        "results/logs/descriptors/{dataset}.log",
    benchmark:
        "results/benchmarks/descriptors/{dataset}.tsv"
    conda:
        "../envs/ml.yaml"
    threads: 2
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=240,
    shell:
        "python {input.script} --structures {input.structures} --processes {threads} --output {output} 2> {log}"


rule shieldings:
    input:
        structures="results/structures/{dataset}.h5",
    output:
        ensure("results/shieldings/{dataset}/{level}/{batch}.h5", non_empty=True),
    log:
        "results/logs/shieldings/{dataset}/{level}/{batch}.log",
    benchmark:
        "results/benchmarks/shieldings/{dataset}/{level}/{batch}.tsv"
    conda:
        "../envs/ml.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=lambda wildcards, attempt: CONFIG.quantum.memory_mb * attempt,
        runtime=CONFIG.quantum.runtime_min,
    params:
        script=script("shieldings.py"),
        code=f"{FEATURE_VERSION}.{SHIELDING_VERSION}",
        level=lambda wildcards: canonical_json(CONFIG.levels[wildcards.level].identity()),
        batches=lambda wildcards: CONFIG.datasets[wildcards.dataset].batches,
        store=str(CONFIG.quantum.store),
        time_limit=CONFIG.quantum.time_limit_s,
        max_failed=CONFIG.quantum.max_failed,
    shell:
        "python {params.script} --structures {input.structures} --batch {wildcards.batch} --batches {params.batches}"
        " --level {params.level:q} --store {params.store:q} --memory-mb {resources.mem_mb}"
        " --time-limit {params.time_limit} --max-failed {params.max_failed} --output {output} 2> {log}"
