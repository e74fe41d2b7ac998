"""The command line `kafka-migration`, for operators and CI.

It speaks with the agent through the control topics only. app.py registers all commands; commands.py
has those that plan or change something, status.py those that show progress, and render.py makes
tables and sentences.
"""
