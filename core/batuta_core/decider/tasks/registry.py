"""Which class answers for which task type."""

from __future__ import annotations

from batuta_core.decider.tasks.decision import Decision
from batuta_core.decider.tasks.do_while import DoWhile
from batuta_core.decider.tasks.dynamic import Dynamic
from batuta_core.decider.tasks.event import EventTask
from batuta_core.decider.tasks.exclusive_join import ExclusiveJoin
from batuta_core.decider.tasks.fork_join import ForkJoin
from batuta_core.decider.tasks.fork_join_dynamic import ForkJoinDynamic
from batuta_core.decider.tasks.http import Http
from batuta_core.decider.tasks.human import Human
from batuta_core.decider.tasks.inline import Inline
from batuta_core.decider.tasks.join import Join
from batuta_core.decider.tasks.jq import JsonJqTransform
from batuta_core.decider.tasks.kafka_publish import KafkaPublish
from batuta_core.decider.tasks.lambda_ import Lambda
from batuta_core.decider.tasks.noop import Noop
from batuta_core.decider.tasks.set_variable import SetVariable
from batuta_core.decider.tasks.simple import Simple
from batuta_core.decider.tasks.start_workflow import StartWorkflow
from batuta_core.decider.tasks.sub_workflow import SubWorkflow
from batuta_core.decider.tasks.switch import Switch
from batuta_core.decider.tasks.task_type import TaskType
from batuta_core.decider.tasks.terminate import Terminate
from batuta_core.decider.tasks.user_defined import UserDefined
from batuta_core.decider.tasks.wait import Wait

_BUILT_IN: tuple[type[TaskType], ...] = (
    Decision,
    DoWhile,
    Dynamic,
    EventTask,
    ExclusiveJoin,
    ForkJoin,
    ForkJoinDynamic,
    Http,
    Human,
    Inline,
    Join,
    JsonJqTransform,
    KafkaPublish,
    Lambda,
    Noop,
    SetVariable,
    Simple,
    StartWorkflow,
    SubWorkflow,
    Switch,
    Terminate,
    Wait,
)
TASK_TYPES = {kind.name: kind() for kind in _BUILT_IN}

_USER_DEFINED = UserDefined()


def task_type(name: str) -> TaskType:
    """The type of that name; a name that nobody here knows is a user's own type, run by a worker."""
    return TASK_TYPES.get(name, _USER_DEFINED)
