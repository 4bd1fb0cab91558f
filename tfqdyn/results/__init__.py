"""Results: records and their files; findings and estimates that are read from them."""

from tfqdyn.results.jsonvalues import (
    plain as plain,
)
from tfqdyn.results.jsonvalues import (
    with_infinities as with_infinities,
)
from tfqdyn.results.records import (
    SCHEMA as SCHEMA,
)
from tfqdyn.results.records import (
    SOURCES as SOURCES,
)
from tfqdyn.results.records import (
    ActivationRow as ActivationRow,
)
from tfqdyn.results.records import (
    ChannelRow as ChannelRow,
)
from tfqdyn.results.records import (
    DataRecord as DataRecord,
)
from tfqdyn.results.records import (
    HistogramRow as HistogramRow,
)
from tfqdyn.results.records import (
    InputRecord as InputRecord,
)
from tfqdyn.results.records import (
    KernelGrid as KernelGrid,
)
from tfqdyn.results.records import (
    LayerResult as LayerResult,
)
from tfqdyn.results.records import (
    ModelRecord as ModelRecord,
)
from tfqdyn.results.records import (
    OwnError as OwnError,
)
from tfqdyn.results.records import (
    WeightRow as WeightRow,
)
from tfqdyn.results.run import (
    RunResult as RunResult,
)
from tfqdyn.results.runfiles import (
    DRAWN as DRAWN,
)
from tfqdyn.results.runfiles import (
    read as read,
)
from tfqdyn.results.runfiles import (
    write as write,
)
from tfqdyn.results.spreads import (
    Spread as Spread,
)
from tfqdyn.results.spreads import (
    spread as spread,
)
from tfqdyn.results.summaries import (
    DeployedKernels as DeployedKernels,
)
from tfqdyn.results.summaries import (
    Loss as Loss,
)
from tfqdyn.results.summaries import (
    MetricResult as MetricResult,
)
from tfqdyn.results.summaries import (
    OutputResult as OutputResult,
)
from tfqdyn.results.summaries import (
    Summary as Summary,
)
