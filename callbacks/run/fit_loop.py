"""A fit that can stop, and go on, between any two batches and within any validation."""

from dataclasses import asdict, dataclass
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.loops.fit_loop import RestartStage, _FitLoop
from pytorch_lightning.loops.loop import _Loop
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

from callbacks.run.stop_signals import StopSignals, Vote, in_words
from callbacks.trainer_facts import in_trial, run_of

__all__ = ["Place", "ResumableEpochLoop", "ResumableFitLoop", "fit_loop_of"]

_Fetcher = Any
"""Lightning's private ``_DataFetcher``."""


@dataclass(frozen=True)
class Place:
    """Where a fit stands: what its next thing to do would be.

    Args:
        epoch: The epoch, counted from 0.
        batch: How many of its batches each process has trained on.
        total: The same over all epochs.
        begun: Whether the epoch has begun and not ended; between two epochs nothing has.
        validate: Whether the validation behind that batch is still to be done.
    """

    epoch: int
    batch: int
    total: int
    begun: bool
    validate: bool


class ResumableFitLoop(_FitLoop):
    """Lightning's fit loop with a simpler idea of where a fit stands and how it goes on.

    Lightning guesses that from a dozen counters, which agree with each other at some moments only:
    a checkpoint behind the last batch of an epoch, within a validation or at ``max_steps`` goes on
    somewhere else. Here a checkpoint holds a `Place`, and going on means to set the counters to it.

    It also writes ``checkpoints/last.ckpt``, whenever an epoch has ended (just before the next
    one begins, when all that belongs to the epoch is done) and when the fit ends, whatever is
    monitored; and when it is asked to stop.
    """

    epoch_loop: Any  # a ResumableEpochLoop
    epoch_progress: Any  # whose counters Lightning declares less of than there is
    stops: StopSignals
    _vote: Vote
    _place: Place | None
    _stopping: bool
    _just_loaded: bool

    @classmethod
    def take_over(cls, loop: _FitLoop) -> None:
        """Turns a trainer's loop, which is wired to its data already, into this one."""
        loop.__class__ = cls
        loop.epoch_loop.__class__ = ResumableEpochLoop
        own: Any = loop
        own.stops, own._vote, own._place = StopSignals(), Vote(), None
        own._stopping = own._just_loaded = False
        own.epoch_loop.behind = 0

    # --- where it stands ---

    def place(self) -> Place:
        """Where the fit stands now."""
        epochs, batches = self.epoch_progress.current, self.epoch_loop.batch_progress
        batch, total = batches.current.processed, batches.total.processed
        if epochs.processed < epochs.started:
            validate = self._stopping and self.trainer.validating
            return Place(epochs.processed, batch, total, begun=True, validate=validate)
        if batch > 0 and not self.epoch_loop._num_ready_batches_reached():
            # max_steps has cut the epoch short: more steps would be the rest of it.
            return Place(epochs.processed - 1, batch, total, begun=False, validate=False)
        return Place(epochs.processed, 0, total, begun=False, validate=False)

    def on_save_checkpoint(self) -> dict[str, Any]:
        return super().on_save_checkpoint() | {"place": asdict(self.place())}

    def save_last(self) -> None:
        """Writes ``last.ckpt``."""
        trainer = self.trainer
        if not in_trial(trainer):
            trainer.save_checkpoint(run_of(trainer).checkpoint("last"), weights_only=False)

    # --- going on ---

    def load_state_dict(self, state_dict: dict[str, Any], prefix: str = "") -> None:
        super().load_state_dict(state_dict, prefix)
        saved = state_dict[f"{prefix}state_dict"].get("place")
        place = Place(**saved) if saved else self.place()  # the latter from older versions
        inner = self.epoch_loop
        own_optimizers = (inner.automatic_optimization, inner.manual_optimization)
        for loop in (self, inner, inner.val_loop, *own_optimizers):
            loop._restarting = loop._loaded_from_state_dict = False
            loop._resuming_from_checkpoint = False
        for epochs in (self.epoch_progress.total, self.epoch_progress.current):
            epochs.__dict__.update(ready=place.epoch, started=place.epoch)
            epochs.__dict__.update(processed=place.epoch, completed=place.epoch)
        inner.set_batches(place.batch, place.total)
        self._place, self._just_loaded = (place if place.batch else None), True

    @property
    def done(self) -> bool:
        """Whether the fit is at its end: not before a begun epoch has ended too."""
        if self._place is not None and self._place.begun:
            beyond = self.max_epochs not in (None, -1) and self._place.epoch >= self.max_epochs
            if not beyond:
                return False
        return super().done

    def _load_combined_loader_states(self) -> None:
        if self._place is not None and self._combined_loader is not None:
            self._combined_loader._load_state_dicts(self._combined_loader_states_to_load)
        self._combined_loader_states_to_load = []

    # --- running ---

    def run(self) -> None:
        self.stops.listen(self.trainer)
        super().run()

    def on_advance_start(self) -> None:
        if self._place is None:
            if self.epoch_progress.current.processed > 0 and not self._just_loaded:
                self.save_last()
            self.stop_if_asked(force=True)
        else:
            # Nothing is told that this epoch begins: it has begun before.
            self._restart_stage = RestartStage.RESTARTED_MID_EPOCH
            for epochs in (self.epoch_progress.total, self.epoch_progress.current):
                epochs.__dict__.update(ready=epochs.processed + 1, started=epochs.processed + 1)
        super().on_advance_start()
        self._restart_stage, self._just_loaded = RestartStage.NONE, False

    def advance(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            self.epoch_loop.go_to(place, self._data_fetcher)
            if self.epoch_loop._is_training_done:
                return
            self.epoch_loop.behind = self.epoch_loop.batch_progress.current.processed
        super().advance()

    def on_run_end(self) -> None:
        self.save_last()
        self.stops.forget()
        super().on_run_end()

    # --- stopping ---

    def stop_if_asked(self, force: bool = False) -> None:
        """Saves and leaves if a signal has asked for it.

        Args:
            force: Whether processes are to agree on it now, and not merely every second or so.

        Raises:
            SystemExit: With the exit code that shells and schedulers expect.
        """
        vote, count = self._vote, self.epoch_loop.batch_progress.total.processed
        if number := vote.agreed(self.trainer, self.stops.number, count, force):
            self.stop(number)

    def stop(self, number: int) -> None:
        """Saves and leaves.

        Raises:
            SystemExit: Always.
        """
        self._stopping = True
        self.save_last()
        self.stops.leave(number, in_words(self.trainer))


class ResumableEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over batches, which can begin in the middle and always ends validated."""

    batch_progress: Any
    behind: int
    """Batches of the epoch that are behind already when it is entered."""

    def set_batches(self, batch: int, total: int) -> None:
        """Sets the counters of batches: in this epoch, and over all."""
        for tracker, count in (
            (self.batch_progress.current, batch),
            (self.batch_progress.total, total),
        ):
            tracker.__dict__.update(ready=count, started=count, processed=count, completed=count)

    def go_to(self, place: Place, fetcher: _Fetcher) -> None:
        """Does what is left to do behind a place's last batch."""
        fit = self.trainer.fit_loop
        first = next(iter(fit._combined_loader.flattened)) if fit._combined_loader else None
        # With another batch size, or other processes, as many examples are other batches.
        batch = min(int(getattr(first, "batches_behind", place.batch)), int(fit.max_batches))
        self.set_batches(batch, place.total)
        self.batch_progress.is_last_batch = batch >= fit.max_batches
        if place.validate:
            self.on_advance_end(fetcher)

    def reset(self) -> None:
        super().reset()
        behind, self.behind = self.behind, 0
        if behind:
            self.set_batches(behind, self.batch_progress.total.processed)

    def advance(self, data_fetcher: _Fetcher) -> None:
        # Not among the batches of one optimiser step, whose gradients no checkpoint holds.
        if self._accumulated_batches_reached():
            fit_loop_of(self.trainer).stop_if_asked()
        super().advance(data_fetcher)

    def _broadcast_sigterm_tensor(self) -> None:
        """Nothing: Lightning asks in every step whether another process is to stop."""

    def _should_check_val_fx(self, data_fetcher: _Fetcher) -> bool:
        if super()._should_check_val_fx(data_fetcher):
            return True
        return self.trainer.enable_validation and self._ends_the_fit()

    def _ends_the_fit(self) -> bool:
        trainer = self.trainer
        last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
        out_of_steps = 0 <= self.max_steps <= self.global_step
        return out_of_steps or (last_epoch and self._num_ready_batches_reached())

    def on_save_checkpoint(self) -> dict[str, Any]:
        state = super().on_save_checkpoint()
        fit = fit_loop_of(self.trainer)
        if self.trainer.validating and not fit._stopping and not self._should_accumulate():
            state["_batches_that_stepped"] += 1  # as behind the validation that is ending
        return state


def fit_loop_of(trainer: Trainer) -> ResumableFitLoop:
    """The trainer's loop, which `ResumableFitLoop` has taken over."""
    loop: _Loop = trainer.fit_loop
    assert isinstance(loop, ResumableFitLoop)
    return loop
