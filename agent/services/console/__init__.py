"""The console: a web page that shows each migration live and gives orders.

A client of the control topics, no more.
"""
