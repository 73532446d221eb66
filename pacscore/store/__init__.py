"""Where the bytes lie: journal, generations, formats, read engine."""
