"""The benchmark's parts at tiny sizes: that they measure what they say, not how fast anything is."""
