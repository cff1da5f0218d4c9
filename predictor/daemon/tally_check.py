"""Whether what a source's tallies say of the order of its inputs and targets can be true."""

ADVICE = (
    "nothing of that was lost. The tally of an input is how many target samples were published before it, that of "
    "a target how many input samples; 0 in both where their order does not matter"
)


class TallyCheck:
    """What contradicts itself in one run.

    Attributes
    ----------
    excused : int
        Targets waited for in vain that the source never had.
    """

    __slots__ = ("_contradicted", "_given_up_to", "_never", "_told", "_waits", "excused")

    def __init__(self) -> None:
        self.excused = 0
        self._told: int | None = None  # targets, by the latest info
        self._never = False
        self._given_up_to = 0
        self._contradicted: tuple[int, int] | None = None
        self._waits = 0

    def gave_up(self, end: int) -> bool:
        """Note that targets up to `end` were given up; return whether that is loss, as far as is known."""
        if self._never and self._contradicted is None:
            self._contradicted = end, 0
        if self._contradicted is not None and self._told is not None and end > self._told:
            self.excused += 1
            return False
        self._given_up_to = max(self._given_up_to, end)
        return True

    def info(self, targets: int, *, has_targets: bool) -> None:
        """Heed how many targets the source says that it has said so far, and whether it has any."""
        self._told = targets
        self._never = not has_targets and not targets
        if self._given_up_to > targets:
            self._contradicted = self._given_up_to, targets

    def circular(self, waits: int) -> None:
        """Note how often an input waited for a target that waited for that input."""
        self._waits = waits

    def words(self) -> str | None:
        """Return what is wrong, if anything is."""
        if self._contradicted is not None:
            wanted, said = self._contradicted
            return (
                f"tallies contradict the info: inputs say that {wanted} targets were published before them, and "
                f"the source's info (next_target_seq) that {said} were; {ADVICE}"
            )
        if self._waits:
            return (
                "tallies of inputs and targets contradict each other: each is to come after the other; they are "
                f"taken as they come; {ADVICE}"
            )
        return None
