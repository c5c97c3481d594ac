# Shown when the rescue image has started. Change it as you like: it lies at X:\Tools\menu.ps1.
$entries = [ordered]@{
    'Disks and volumes'              = { Get-Disk; Get-Volume }
    'Network addresses'              = { ipconfig /all }
    'Check the file system of C:'    = { chkdsk C: /f }
    'Boot files anew (C:\Windows)'   = { bcdboot C:\Windows }
    'A command line'                 = { cmd }
    'Restart'                        = { wpeutil reboot }
}
while ($true) {
    $names = @($entries.Keys)
    for ($i = 0; $i -lt $names.Count; $i++) { '{0}  {1}' -f ($i + 1), $names[$i] }
    $choice = 0
    if ([int]::TryParse((Read-Host 'What now'), [ref]$choice) -and $choice -ge 1 -and $choice -le $names.Count) {
        & $entries[$choice - 1]
    }
}
