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
        level=lambda wildcards: as_json(CONFIG.levels[wildcards.level]),
        batches=lambda wildcards: CONFIG.datasets[wildcards.dataset].batches,
        store=str(CONFIG.quantum.store),
        max_failed=CONFIG.quantum.max_failed,
    shell:
        "python {params.script} --structures {input.structures} --batch {wildcards.batch} --batches {params.batches}"
        " --level {params.level:q} --interpreter {input.psi4} --store {params.store:q} --memory-mb {resources.mem_mb}"
        " --max-failed {params.max_failed} --output {output} 2> {log}"
