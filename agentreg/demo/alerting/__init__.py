"""The demo of alerts: agents at work, one of which gets slower and slower until an alert fires and it is restarted.

`perform` runs it: agents that read pages, a registry that is asked what
their tasks took, rules, and a plan that is carried out when one is broken.
"""

from agentreg.demo.alerting.stage import Assignment, perform

__all__ = ["Assignment", "perform"]
