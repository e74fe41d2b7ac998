"""Models of the messages on the control topics, and the JSON Schemas made from them.

Other services may use the JSON Schemas without any code of the agent.
"""
