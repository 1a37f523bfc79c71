"""What the rules say about each file of the corpus, found by reading the files.

A file that is not named here is one whose header is plain YAML with a name
and a description: it loads without a warning.
"""

from __future__ import annotations

NO_HEADER = "no header: not an agent"
NO_NAME = "no name in the header: not an agent"
NO_DESCRIPTION = "the description is missing"
NOT_CLOSED = "the header that begins here is not closed"
NO_UTF8 = "is no UTF-8"
NO_YAML = "the header is no valid YAML"
NO_PATH = "which no file's name may"
NAME_OF_FILE = "the name is missing; the file's is taken"
BYTE_ORDER_MARK = "the file begins with a byte-order mark"
TWICE = "stands in line 4 and in line 5; the last one counts"
NO_TOOLS = "'tools' is empty: the agent may use no tool"

VOLT = "VoltAgent__awesome-claude-code-subagents/categories/08-business-product"
DIET = "diet103__claude-code-infrastructure-showcase/.claude/agents"
RJM = "rjmurillo__ai-agents"
RUFLO = "ruvnet__ruflo/v2/.claude/agents"
THC = "thc1006__nephio-oran-claude-agents/website/docs/agents"
CLAUDE_SKILLS = "alirezarezvani__claude-skills/docs/agents"
VIJAY = "vijaythecoder__awesome-claude-agents/agents"

# file -> what the information says
NOT_AN_AGENT = {
    f"{VOLT}/README.md": NO_HEADER,
    "badlogic__pi-mono/packages/agent/CHANGELOG.md": NO_HEADER,
    "badlogic__pi-mono/packages/agent/README.md": NO_HEADER,
    "catlog22__Claude-Code-Workflow/docs/agents/custom.md": NO_HEADER,
    f"{DIET}/README.md": NO_HEADER,
    "laywill__awesome-claude-code-subagents/categories/01-research-and-discovery/README.md": NO_HEADER,
    "laywill__awesome-claude-code-subagents@8b137891/categories/01-core-development/frontend-developer.md": NO_HEADER,
    "ubehera__claude-agents-pro/agents/AGENT_CHECKLIST.md": NO_HEADER,
    "ubehera__claude-agents-pro/agents/README.md": NO_HEADER,
    "ubehera__claude-agents-pro/agents/TESTING.md": NO_HEADER,
    "vanzan01__claude-code-sub-agent-collective/templates/agents/routing-agent.md": NO_HEADER,
    f"{CLAUDE_SKILLS}/cs-agile-product-owner.md": NO_NAME,
    f"{CLAUDE_SKILLS}/cs-product-analyst.md": NO_NAME,
    f"{CLAUDE_SKILLS}/cs-product-manager.md": NO_NAME,
    f"{CLAUDE_SKILLS}/cs-product-strategist.md": NO_NAME,
    f"{CLAUDE_SKILLS}/index.md": NO_NAME,
    f"{CLAUDE_SKILLS}/product-manager.md": NO_NAME,
    "obra__episodic-memory/agents/search-conversations.md": NO_NAME,  # it has tools and a model, and no YAML either
    f"{RJM}/templates/agents/analyst.shared.md": NO_NAME,
    f"{THC}/comparison-matrix.md": NO_NAME,
    f"{THC}/index.md": NO_NAME,
    f"{THC}/orchestrator-agent.md": NO_NAME,
}

# file -> (what the error says, line, column)
REJECTED = {
    "EveryInc__compound-engineering-plugin/tests/fixtures/custom-paths/agents/default-agent.md": (NO_DESCRIPTION, 2, 1),
    "VoltAgent__awesome-claude-code-subagents@765a6bb1/categories/07-specialized-domains/embedded-systems.md": (
        NO_UTF8,
        22,
        25,
    ),
    "github__awesome-copilot/agents/declarative-agents-architect.agent.md": (NO_DESCRIPTION, 2, 1),
    f"{RUFLO}/analysis/code-analyzer.md": (NO_DESCRIPTION, 2, 1),  # it stands in its metadata
    f"{RUFLO}/analysis/code-review/analyze-code-quality.md": (NO_DESCRIPTION, 2, 1),
    f"{RUFLO}/architecture/system-design/arch-system-design.md": (NO_DESCRIPTION, 2, 1),
    f"{VIJAY}/universal/frontend-developer.md": (NOT_CLOSED, 1, 1),
}

# file -> (what the only warning says, line, column)
WARNS = {
    "FlineDev__ContextKit/Templates/Agents/check-accessibility.md": (NO_YAML, 4, 27),
    "FlineDev__ContextKit/Templates/Agents/check-code-debt.md": (NO_YAML, 4, 27),
    "FlineDev__ContextKit/Templates/Agents/check-error-handling.md": (NO_YAML, 4, 27),
    f"{VOLT}/assumption-mapping.md": (NO_YAML, 3, 135),
    f"{VOLT}/backlog-grooming.md": (NO_YAML, 3, 98),
    "affaan-m__everything-claude-code/docs/ja-JP/agents/go-reviewer.md": (NO_YAML, 6, 1),
    "affaan-m__everything-claude-code@7e45e605/agents/a11y-architect.md": (TWICE, 5, 1),
    "anthropics__claude-plugins-official/plugins/pr-review-toolkit/agents/silent-failure-hunter.md": (NO_YAML, 3, 393),
    "catlog22__Claude-Code-Workflow@3c9c1ccc/agents/gemini-chat.md": (NO_YAML, 5, 52),
    f"{DIET}/auth-route-debugger.md": (NO_YAML, 3, 393),
    f"{DIET}/auth-route-tester.md": (NO_YAML, 3, 364),
    f"{DIET}/code-architecture-reviewer.md": (NO_YAML, 3, 342),
    f"{DIET}/code-refactor-master.md": (NO_YAML, 3, 514),
    f"{DIET}/documentation-architect.md": (NO_YAML, 3, 454),
    f"{DIET}/frontend-error-fixer.md": (NO_YAML, 3, 353),
    f"{DIET}/plan-reviewer.md": (NO_YAML, 3, 197),
    f"{DIET}/refactor-planner.md": (NO_YAML, 3, 492),
    f"{DIET}/web-research-specialist.md": (NO_YAML, 3, 527),
    "github__awesome-copilot/agents/csharp-dotnet-janitor.agent.md": (NO_PATH, 3, 1),
    "github__awesome-copilot@46a6ec82/agents/oracle-to-postgres-migration-expert.agent.md": (BYTE_ORDER_MARK, 1, 1),
    "msitarzewski__agency-agents@1a5dc075/logistics/logistics-oms-orchestrator-oms-orchestrator.md": (NO_YAML, 3, 27),
    "nicobailon__pi-subagents@12e80da9/agents/determinator.md": (NO_TOOLS, 4, 1),
    f"{RJM}/.agents/prototypes/agents/security.compressed.md": (NO_YAML, 3, 56),
    f"{RJM}/src/vs-code-agents/analyst.agent.md": (NAME_OF_FILE, 1, 1),
    f"{RJM}/src/vs-code-agents/backlog-generator.agent.md": (NAME_OF_FILE, 1, 1),
    f"{RJM}/src/vs-code-agents/code-reviewer.agent.md": (NAME_OF_FILE, 1, 1),
    f"{RJM}/src/vs-code-agents/code-simplifier.agent.md": (NAME_OF_FILE, 1, 1),
    f"{RJM}/src/vs-code-agents/comment-analyzer.agent.md": (NAME_OF_FILE, 1, 1),
    f"{RJM}/src/vs-code-agents/critic.agent.md": (NAME_OF_FILE, 1, 1),
    "rshah515__claude-code-subagents/core/architect.md": (NO_YAML, 3, 15),
    "rshah515__claude-code-subagents/orchestrators/prd-writer.md": (NO_YAML, 3, 15),
    "rshah515__claude-code-subagents/orchestrators/project-manager.md": (NO_YAML, 3, 15),
    "vanzan01__claude-code-sub-agent-collective/templates/agents/task-orchestrator.md": (NO_YAML, 3, 507),
    f"{VIJAY}/specialized/python/devops-cicd-expert.md": (NO_PATH, 2, 1),
}

# file -> the fields as a reader of the file would fill them in
FIELDS: dict[str, dict[str, object]] = {
    "badlogic__pi-mono/packages/coding-agent/examples/extensions/subagent/agents/planner.md": {
        "name": "planner",
        "description": "Creates implementation plans from context and requirements",
        "tools": ("read", "grep", "find", "ls"),
        "model": "claude-sonnet-4-5",
    },
    "badlogic__pi-mono/packages/coding-agent/examples/extensions/subagent/agents/worker.md": {
        "name": "worker",
        "tools": None,
        "model": "claude-sonnet-4-5",
    },
    "affaan-m__everything-claude-code/agents/go-reviewer.md": {
        "name": "go-reviewer",
        "tools": ("Read", "Grep", "Glob", "Bash"),
        "model": "sonnet",
    },
    "affaan-m__everything-claude-code@7e45e605/agents/a11y-architect.md": {
        "tools": ("Read", "Write", "Edit", "Bash", "Grep", "Glob"),
    },
    "affaan-m__everything-claude-code/docs/ja-JP/agents/go-reviewer.md": {
        "name": "go-reviewer",
        "tools": ("Read", "Grep", "Glob", "Bash"),
        "model": "opus",
    },
    "FlineDev__ContextKit/Templates/Agents/check-accessibility.md": {
        "name": "check-accessibility",
        "description": "[INCOMPLETE] Detect and fix accessibility issues in UI code - needs rework for read-only "
        "reporting",
        "tools": ("Read", "Edit", "MultiEdit", "Grep", "Glob", "Task"),
        "color": "cyan",
        "metadata": {"meta": "Template Version: 8 | ContextKit: 0.2.0 | Updated: 2025-10-02"},
    },
    "catlog22__Claude-Code-Workflow@3c9c1ccc/agents/gemini-chat.md": {
        "name": "gemini-chat",
        "tools": None,
        "model": "sonnet",
    },
    f"{DIET}/code-refactor-master.md": {"name": "code-refactor-master", "model": "opus", "color": "cyan"},
    f"{DIET}/plan-reviewer.md": {"name": "plan-reviewer", "model": "opus", "color": "yellow", "tools": None},
    "EveryInc__compound-engineering-plugin/tests/fixtures/sample-plugin/agents/agent-one.md": {
        "name": "repo-research-analyst",
        "model": "inherit",
        "metadata": {"capabilities": ["Capability A", "Capability B"]},
        "body": "Repo research analyst body.",
    },
    "github__awesome-copilot/agents/azure-policy-analyzer.agent.md": {
        "name": "Azure Policy Analyzer",
        "tools": (
            *("read", "edit", "search", "execute", "web", "todo", "azure-mcp/*"),
            "ms-azuretools.vscode-azure-github-copilot/azure_query_azure_resource_graph",
        ),
        "metadata": {
            "argument-hint": "Describe the Azure Policy analysis task. Scope is auto-detected unless explicitly "
            "provided."
        },
    },
    "github__awesome-copilot/agents/new-relic-incident-response.agent.md": {
        "tools": ("new-relic-mcp-server/*", "github"),
        "model": None,
        "metadata": {"model": ["GPT-4.1", "GPT-5.4", "Claude Sonnet 4.6"]},
    },
    "github__awesome-copilot/agents/arm-migration.agent.md": {
        "name": "arm-migration-agent",
        "mcp_servers": ("custom-mcp",),
    },
    "msitarzewski__agency-agents@1a5dc075/logistics/logistics-oms-orchestrator-oms-orchestrator.md": {
        "name": "oms-oms-orchestrator",
        "description": '"\\U0001F3AF" Central coordinator for all OMS V3 agent workflows, managing process chains, '
        'context passing, and quality gates. ("OMS \\u603B\\u8C03\\u5EA6\\u5458\\uFF0C\\u7F16\\u6392\\u6240\\u6709'
        '\\u4E1A\\u52A1\\u94FE\\u8DEF\\uFF0C\\u4E0D\\u6267\\u884C\\u5177\\u4F53\\u4E1A\\u52A1\\u3002")',
        "tools": ("Read", "Edit", "Write", "Bash", "Grep", "Glob"),
        "model": "sonnet",
    },
    "nicobailon__pi-subagents@12e80da9/agents/determinator.md": {"name": "determinator", "tools": ()},
    f"{RJM}/.agents/prototypes/agents/security.compressed.md": {
        "name": "security",
        "description": "Security review with two-phase enforcement: pre-impl analysis plus post-impl verification.",
        "model": "opus",
        "metadata": {
            "metadata": {
                "tier": "builder",
                "prototype": "true",
                "issue": "1738",
                "baseline": ".claude/agents/security.md",
            },
            "argument-hint": "Specify the code, feature, or PR to security review",
        },
    },
    f"{RJM}/src/vs-code-agents/critic.agent.md": {"name": "critic"},
    "rshah515__claude-code-subagents/orchestrators/project-manager.md": {
        "name": "project-manager",
        "tools": ("Task", "TodoWrite", "Read", "Write", "Grep", "LS"),
    },
    f"{RUFLO}/templates/coordinator-swarm-init.md": {"name": "swarm-init", "color": "teal", "priority": "high"},
    f"{VIJAY}/specialized/python/devops-cicd-expert.md": {"name": "Python DevOps/CI-CD Expert"},
    "wshobson__agents/plugins/incident-response/agents/debugger.md": {
        "name": "incident-response-debugger",
        "model": "sonnet",
        "tools": None,
    },
}
