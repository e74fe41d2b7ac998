"""The command line `kafka-migration`, for operators and CI.

It communicates with the agent only through the control topics. app.py registers all commands;
commands.py has those that plan or change something, status.py those that show progress, and
render.py turns statuses and events into tables and sentences.
"""
