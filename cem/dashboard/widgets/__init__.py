"""One small widget per file; each draws one part of a View."""
