"""The command line: `main` chooses the verb, and each verb has a module of its name.

A verb's module has a dataclass `Options`, whose docstring is the text above --help, and `run(options)`. It returns the
exit code, or raises ConfigError (bad usage) or CheckFailed. Only a verb that runs imports matplotlib, pandas or torch.
"""
