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
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=60,
    params:
        settings=lambda wildcards: as_json(CONFIG.datasets[wildcards.dataset]),
    shell:
        "python {input.script} --dataset {wildcards.dataset} --settings {params.settings:q}"
        " --output {output.store} --rejected {output.rejected} 2> {log}"
