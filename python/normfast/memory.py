"""Where large results live."""

from normfast import _core

__all__ = ["keep_buffers"]


def keep_buffers(limit: int) -> int:
    """Set how much memory of large results is kept for the next ones.

    A fresh array of many megabytes costs more than the normalisation that fills it, because the
    operating system clears every page. So the memory of results from 1 MiB is kept when they are
    freed, and used again for results of the same size (to 64 KiB), the latest first. Memory that is
    in use by an array is never counted, and the arrays are NumPy's own in every respect. The limit
    is 256 MiB at the start. ``out=`` needs none of this.

    Parameters
    ----------
    limit : int
        Bytes. What is kept beyond it is freed at once; 0 frees all and keeps nothing.

    Returns
    -------
    int
        The limit before.

    Raises
    ------
    ValueError
        limit is negative.
    TypeError
        limit is not an int.

    Examples
    --------
    >>> before = nf.keep_buffers(0)  # frees all, keeps nothing
    >>> nf.keep_buffers(before)
    0
    """
    return _core.keep_buffers(limit)
