"""The wire: what travels on the control topics.

Other services may use these models; they need no agent code to run.
"""
