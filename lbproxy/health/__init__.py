"""
Asks backends how they are: probes, which make one check each, and the monitor, which
says when.
"""
