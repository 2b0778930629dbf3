"""Structures and quantum features to graph shards.

In: structure stores and those stores of features that the graphset takes something from. Out: results/graphs/{graphset}/
{shard}.h5 and, with a reason for every structure that is not in it, {shard}.skipped.csv.
"""


rule graph_shard:
    input:
        structures=lambda wildcards: [
            f"results/structures/{dataset}.h5" for dataset in CONFIG.graphsets[wildcards.graphset].datasets
        ],
        quantum=lambda wildcards: sum(quantum_files_of(wildcards.graphset).values(), []),
        descriptors=lambda wildcards: list(descriptor_files_of(wildcards.graphset).values()),
        shieldings=lambda wildcards: sum(shielding_files_of(wildcards.graphset).values(), []),
        script=script("graphs.py"),
        modules=lambda wildcards: graph_modules(wildcards.graphset),
    output:
        shard=ensure("results/graphs/{graphset}/{shard}.h5", non_empty=True),
        skipped=ensure("results/graphs/{graphset}/{shard}.skipped.csv", non_empty=True),
    log:
        "results/logs/graphs/{graphset}/{shard}.log",
    benchmark:
        "results/benchmarks/graphs/{graphset}/{shard}.tsv"
    conda:
        "../envs/ml.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=60,
    params:
        settings=lambda wildcards: as_json(CONFIG.graphsets[wildcards.graphset]),
        level=lambda wildcards: level_of(wildcards.graphset),
        structures=lambda wildcards: [
            f"{dataset}=results/structures/{dataset}.h5" for dataset in CONFIG.graphsets[wildcards.graphset].datasets
        ],
        quantum=lambda wildcards: [
            f"--quantum {dataset}={file}"
            for dataset, files in quantum_files_of(wildcards.graphset).items()
            for file in files
        ],
        descriptors=lambda wildcards: [
            f"--descriptors {dataset}={file}" for dataset, file in descriptor_files_of(wildcards.graphset).items()
        ],
        shieldings=lambda wildcards: [
            f"--shieldings {dataset}={file}"
            for dataset, files in shielding_files_of(wildcards.graphset).items()
            for file in files
        ],
    shell:
        "python {input.script} --name {wildcards.graphset} --settings {params.settings:q}"
        " --level-settings {params.level:q} --shard {wildcards.shard} --structures {params.structures}"
        " {params.quantum} {params.descriptors} {params.shieldings}"
        " --output {output.shard} --skipped {output.skipped} 2> {log}"
