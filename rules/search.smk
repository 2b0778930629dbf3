"""Searches for hyperparameters, and where learning rates begin to be too high.

In: all shards of an experiment's graphset. Out, in results/search/{search}: trials.csv, best.yaml and what each worker
ran; plots in results/plots/search/{search}. Workers are jobs that draw trials at the same time. The study's journal and
its trials stand beside them in a folder named by a digest of all they depend on; they are no outputs, so Snakemake leaves
them alone: a killed search goes on, with its finished trials kept and those begun resumed, and a changed one is another
study. And results/lr/{experiment}/{architecture}.csv and .png: the loss while the learning rate rises.
"""

from psigraph.config.searches import entry_of


rule search_worker:
    input:
        shards=lambda wildcards: shards(CONFIG.experiments[searched(wildcards.search)[0]].graphset),
        start=lambda wildcards: start_of(*searched(wildcards.search)),
        script=script("search_worker.py"),
        modules=lambda wildcards: [
            *training_modules(searched(wildcards.search)[0]),
            *modules(*(f"search/{name}" for name in ("space", "study", "worker")), "config/searches"),
        ],
    output:
        ensure("results/search/{search}/worker{worker}.json", non_empty=True),
    log:
        "results/logs/search/{search}/worker{worker}.log",
    benchmark:
        "results/benchmarks/search/{search}/worker{worker}.tsv"
    wildcard_constraints:
        search="[^/]+",
        worker=r"\d+",
    conda:
        "../envs/ml.yaml"
    threads: lambda wildcards: training_of(wildcards.search).threads
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: training_of(wildcards.search).memory_mb * attempt,
        runtime=lambda wildcards: training_of(wildcards.search).runtime_min
        * CONFIG.searches[wildcards.search].trials_of_a_worker,
    params:
        search=lambda wildcards: as_json(CONFIG.searches[wildcards.search]),
        settings=lambda wildcards: run_settings(*searched(wildcards.search)[:2]),
        start=lambda wildcards, input: f"--start-from {input.start}" if input.start else "",
    shell:
        "python {input.script} --search {params.search:q} --settings {params.settings:q} --worker {wildcards.worker}"
        " --gpu {resources.gpu} --threads {threads} {params.start} --shards {input.shards} --output {output} 2> {log}"


rule search_report:
    input:
        workers=lambda wildcards: [
            f"results/search/{wildcards.search}/worker{worker}.json"
            for worker in range(CONFIG.searches[wildcards.search].workers)
        ],
        script=script("search_report.py"),
        modules=modules(
            *(f"search/{name}" for name in ("figures", "report", "space")), "config/searches", "evaluation/figures"
        ),
    output:
        table=report(
            ensure("results/search/{search}/trials.csv", non_empty=True),
            caption="../docs/captions/search.rst",
            category="searches",
            labels={"search": "{search}"},
        ),
        best=ensure("results/search/{search}/best.yaml", non_empty=True),
        plots=report(
            directory("results/plots/search/{search}"),
            patterns=["{name}.png"],
            caption="../docs/captions/search.rst",
            category="searches",
            labels={"search": "{search}", "plot": "{name}"},
        ),
    log:
        "results/logs/search/{search}/report.log",
    benchmark:
        "results/benchmarks/search/{search}/report.tsv"
    wildcard_constraints:
        search="[^/]+",
    conda:
        "../envs/ml.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=10,
    params:
        search=lambda wildcards: as_json(CONFIG.searches[wildcards.search]),
        entry=lambda wildcards: canonical_json(
            entry_of(CONFIG.searches[wildcards.search], CONFIG.experiments[searched(wildcards.search)[0]])
        ),
        settings=lambda wildcards: run_settings(*searched(wildcards.search)[:2]),
    shell:
        "python {input.script} --name {wildcards.search} --search {params.search:q} --entry {params.entry:q}"
        " --settings {params.settings:q} --workers {input.workers} --table {output.table} --best {output.best}"
        " --plots {output.plots} 2> {log}"


rule search:
    input:
        [f"results/search/{search}/trials.csv" for search in CONFIG.searches],
    localrule: True
    threads: 1
    resources:
        gpu=0,
        mem_mb=500,
        runtime=5,


rule lr_finder:
    input:
        shards=lambda wildcards: shards(CONFIG.experiments[wildcards.experiment].graphset),
        start=lambda wildcards: start_of(
            wildcards.experiment, wildcards.architecture, CONFIG.experiments[wildcards.experiment].seeds[0]
        ),
        script=script("find_lr.py"),
        modules=lambda wildcards: [
            *training_modules(wildcards.experiment),
            *modules("search/learning_rate", "search/figures", "evaluation/figures"),
        ],
    output:
        table=ensure("results/lr/{experiment}/{architecture}.csv", non_empty=True),
        plot=report(
            ensure("results/lr/{experiment}/{architecture}.png", non_empty=True),
            caption="../docs/captions/learning_rate.rst",
            category="learning rates",
            labels={"experiment": "{experiment}", "architecture": "{architecture}"},
        ),
    log:
        "results/logs/lr/{experiment}/{architecture}.log",
    benchmark:
        "results/benchmarks/lr/{experiment}/{architecture}.tsv"
    conda:
        "../envs/ml.yaml"
    threads: lambda wildcards: CONFIG.experiments[wildcards.experiment].training.threads
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: CONFIG.experiments[wildcards.experiment].training.memory_mb * attempt,
        runtime=lambda wildcards: CONFIG.experiments[wildcards.experiment].training.runtime_min,
    params:
        settings=lambda wildcards: run_settings(wildcards.experiment, wildcards.architecture),
        seed=lambda wildcards: CONFIG.experiments[wildcards.experiment].seeds[0],
        start=lambda wildcards, input: f"--start-from {input.start}" if input.start else "",
    shell:
        "python {input.script} --experiment {wildcards.experiment} --architecture {wildcards.architecture}"
        " --seed {params.seed} --settings {params.settings:q} --gpu {resources.gpu} --threads {threads} {params.start}"
        " --shards {input.shards} --table {output.table} --plot {output.plot} 2> {log}"


rule find_lr:
    input:
        [
            f"results/lr/{experiment}/{architecture}.csv"
            for experiment, item in CONFIG.experiments.items()
            for architecture in item.architectures
        ],
    localrule: True
    threads: 1
    resources:
        gpu=0,
        mem_mb=500,
        runtime=5,
