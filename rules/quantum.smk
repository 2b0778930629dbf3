"""Structures to quantum features, by Psi4.

In: structure stores. Out: results/quantum/{dataset}/{level}/{batch}.h5. Each finished structure is kept at once in a
content-addressed store beside them, so that nothing is ever computed twice. The key of a result is FEATURE_VERSION, not
the source code: editing a comment recomputes nothing.
"""


rule psi4:
    output:
        "results/quantum/psi4.json",
    log:
        "results/logs/quantum/psi4.log",
    localrule: True
    conda:
        "../envs/psi4.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=500,
        runtime=5,
    params:
        script=script("psi4_probe.py"),
    shell:
        "python {params.script} --output {output} 2> {log}"


rule quantum:
    input:
        structures="results/structures/{dataset}.h5",
        psi4=ancient("results/quantum/psi4.json"),
    output:
        ensure("results/quantum/{dataset}/{level}/{batch}.h5", non_empty=True),
    log:
        "results/logs/quantum/{dataset}/{level}/{batch}.log",
    benchmark:
        "results/benchmarks/quantum/{dataset}/{level}/{batch}.tsv"
    conda:
        "../envs/psi4.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=lambda wildcards, attempt: CONFIG.quantum.memory_mb * attempt,
        runtime=CONFIG.quantum.runtime_min,
    params:
        script=script("quantum.py"),
        code=FEATURE_VERSION,
        level=lambda wildcards: canonical_json(CONFIG.levels[wildcards.level].identity()),
        features=lambda wildcards: features_of(wildcards.level, "psi4"),
        batches=lambda wildcards: CONFIG.datasets[wildcards.dataset].batches,
        store=str(CONFIG.quantum.store),
        time_limit=CONFIG.quantum.time_limit_s,
        max_failed=CONFIG.quantum.max_failed,
        file47=f" --file47 {CONFIG.quantum.file47}" if CONFIG.quantum.file47 else "",
    shell:
        "python {params.script} --structures {input.structures} --batch {wildcards.batch} --batches {params.batches}"
        " --level {params.level:q} --features {params.features} --interpreter {input.psi4} --store {params.store:q}"
        " --memory-mb {resources.mem_mb} --time-limit {params.time_limit} --max-failed {params.max_failed}"
        "{params.file47} --output {output} 2> {log}"
