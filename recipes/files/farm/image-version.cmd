@echo off
rem Shows which golden image this machine was made from.
reg query HKLM\SOFTWARE\Example\Image /v Version
