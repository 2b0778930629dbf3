"""Graph shards to trained models: one rule for every architecture.

In: all shards of the experiment's graphset, and the checkpoint that a run starts from where it has one. Out, in
results/models/{experiment}/{architecture}/seed{seed}/: the model, its learning history, its split and a record of the
run. `last.ckpt` in the same folder, written after every epoch and every few minutes within one, is what a killed run
resumes from, in the middle of an epoch too; it is no output, so Snakemake leaves it alone. A job that asks for several GPUs trains with one process on each.
"""


rule train:
    input:
        shards=lambda wildcards: shards(CONFIG.experiments[wildcards.experiment].graphset),
        start=lambda wildcards: start_of(wildcards.experiment, wildcards.architecture, wildcards.seed),
        script=script("train.py"),
        modules=lambda wildcards: training_modules(wildcards.experiment),
    output:
        model=ensure(
            "results/models/{experiment}/{architecture}/seed{seed}/final_model_{experiment}_learning.pt",
            non_empty=True,
        ),
        history=ensure("results/models/{experiment}/{architecture}/seed{seed}/history.csv", non_empty=True),
        split=ensure("results/models/{experiment}/{architecture}/seed{seed}/split.csv", non_empty=True),
        record=ensure("results/models/{experiment}/{architecture}/seed{seed}/training.json", non_empty=True),
    log:
        "results/logs/train/{experiment}/{architecture}/seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{experiment}/{architecture}/seed{seed}.tsv"
    conda:
        "../envs/ml.yaml"
    threads: lambda wildcards: CONFIG.experiments[wildcards.experiment].training.threads
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: CONFIG.experiments[wildcards.experiment].training.memory_mb * attempt,
        runtime=lambda wildcards: CONFIG.experiments[wildcards.experiment].training.runtime_min,
    params:
        settings=lambda wildcards: run_settings(wildcards.experiment, wildcards.architecture),
        start=lambda wildcards, input: f"--start-from {input.start}" if input.start else "",
    shell:
        "python {input.script} --experiment {wildcards.experiment} --architecture {wildcards.architecture}"
        " --seed {wildcards.seed} --settings {params.settings:q} --gpu {resources.gpu} --threads {threads}"
        " {params.start} --shards {input.shards} --output-dir $(dirname {output.model}) 2> {log}"
