"""The console: a web page that shows each migration live and sends commands.

It is a client of the control topics and uses no other connection to the agent.
"""
