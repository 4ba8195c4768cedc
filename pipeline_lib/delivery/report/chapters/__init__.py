"""The report's chapters, one a file (delivery.report.chapter): a file that is put here is in the page."""
