"""The client side of the service: finding it, starting it, speaking to it, keeping agents registered with it.

What is in here imports the standard library and the command line's own
modules only, so that its commands start at once and work without any extra.
"""
