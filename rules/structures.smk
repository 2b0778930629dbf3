"""Raw files or installed databases to structure stores.

In: a dataset entry of the configuration and its raw files. Out: results/structures/{dataset}.h5 and, with a reason for
every row that is not in it, results/structures/{dataset}.rejected.csv.
"""


rule structures:
    input:
        raw=raw_inputs,
        script=script("structures.py"),
        modules=modules("structures", "stores", "units"),
    output:
        store=ensure("results/structures/{dataset}.h5", non_empty=True),
        rejected=ensure("results/structures/{dataset}.rejected.csv", non_empty=True),
    log:
        "results/logs/structures/{dataset}.log",
    benchmark:
        "results/benchmarks/structures/{dataset}.tsv"
    conda:
        "../envs/ml.yaml"
    threads: lambda wildcards: getattr(CONFIG.datasets[wildcards.dataset], "threads", 1)
    resources:
        gpu=0,
        mem_mb=lambda wildcards: CONFIG.datasets[wildcards.dataset].memory_mb,
        runtime=lambda wildcards: CONFIG.datasets[wildcards.dataset].runtime_min,
    params:
        settings=lambda wildcards: as_json(CONFIG.datasets[wildcards.dataset], without=JOB_KEYS),
    shell:
        "python {input.script} --dataset {wildcards.dataset} --settings {params.settings:q}"
        " --threads {threads} --output {output.store} --rejected {output.rejected} 2> {log}"
