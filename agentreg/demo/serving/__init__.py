"""The demo of the service and its page: ``agentreg demo --serve``.

`helper` is a process that ends with its standard input, so that nothing
outlives the demo; `crew` has live objects work in shifts, and enters them
into the service's directory; `runtimes` are three processes with agents of
their own; `speaker` is a program that knows nothing but HTTP; `figures` are
what agents have done so far. `stage` is the run that puts them together,
`scene` what is to be seen of it, and `views` and `live` show that.
"""
