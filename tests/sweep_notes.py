"""A progress of `fdcn calibrate` that keeps what it hears."""

import dataclasses


@dataclasses.dataclass
class Notes:
    """Stands for progress; `fails_at` rows it is interrupted."""

    rows: dict = dataclasses.field(default_factory=dict)
    fails_at: int = -1
    heard: list = dataclasses.field(default_factory=list)

    def save(self):
        if len(self.rows) == self.fails_at:
            raise KeyboardInterrupt

    def at(self, what, done, total):
        self.heard.append((what, done, total))
