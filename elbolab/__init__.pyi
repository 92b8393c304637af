from elbolab.comparison import compare as compare
from elbolab.run import Run as Run
from elbolab.run import load as load

__version__: str
