"""The demo of runtimes in processes of their own, over one directory: ``agentreg demo --processes 3``.

`runtime` is what each process runs, with the `agents` in it; `child` is the
parent's hold on one; `dispatcher` hands work to agents found in the
directory, and hands it on when one is gone; `stage` is the run that puts
them together over the `shared` directory, `roster` what is known of them
meanwhile, and `outcome` what it came to; `views`, `live` and `summary` show
it.
"""
