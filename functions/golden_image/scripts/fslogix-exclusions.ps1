#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Adds the exclusions that FSLogix needs, and no others.
.DESCRIPTION
Containers are one folder below the share, and a wildcard in a file name applies only to the last
folder, so the patterns are share\*\*.VHDX. The extensions VHD and VHDX are not excluded by
themselves: that would apply to the entire machine and defeat the indicators that block files.
Sources: the exclusion lists of FSLogix, and
https://learn.microsoft.com/en-us/defender-endpoint/configure-extension-file-exclusions-microsoft-defender-antivirus
.PARAMETER Profiles
The shares with profile containers.
.PARAMETER CloudCache
Also exclude the local cache and proxy folders of Cloud Cache.
.EXAMPLE
.\fslogix-exclusions.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [string[]] $Profiles = @({{profiles}}),
    [switch] $CloudCache = {{cloud-cache}}
)

$ErrorActionPreference = 'Stop'
if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) {
    throw 'Run this script in 64-bit Windows PowerShell. The 32-bit version reads a different registry and different folders.'
}
$Profiles = @($Profiles | Where-Object { $_ })
if ($Profiles.Count -eq 0) { throw 'Specify the shares with profile containers: -Profiles \\server\share.' }
foreach ($share in $Profiles) {
    if ($share -notmatch '^\\\\[^\\]+\\[^\\]+') { throw "$share is not a share. A share looks like \\server\share." }
}

$wanted = @()
foreach ($folder in '%TEMP%', '%Windir%\TEMP') {
    foreach ($type in 'VHD', 'VHDX') { $wanted += "$folder\*\*.$type" }
}
foreach ($share in $Profiles) {
    foreach ($type in 'VHD', 'VHDX') {
        foreach ($end in '', '.lock', '.meta', '.metadata') { $wanted += $share.TrimEnd('\') + "\*\*.$type$end" }
    }
}
if ($CloudCache) { $wanted += '%ProgramData%\FSLogix\Cache\*', '%ProgramData%\FSLogix\Proxy\*' }

$preferences = Get-MpPreference
$present = @($preferences.ExclusionPath | Where-Object { $_ })
if (@($present | Where-Object { $_ -like 'N/A:*' }).Count -gt 0) {
    # A policy hides the list. The registry still has it.
    $present = @()
    foreach ($root in 'HKLM:\SOFTWARE\Policies\Microsoft\Windows Defender', 'HKLM:\SOFTWARE\Microsoft\Windows Defender') {
        $key = Get-Item -LiteralPath "$root\Exclusions\Paths" -ErrorAction SilentlyContinue
        if ($key) { $present += $key.GetValueNames() }
    }
}
$missing = @($wanted | Where-Object { $present -notcontains $_ })
foreach ($path in $missing) {
    if ($PSCmdlet.ShouldProcess($path, 'Exclude from scans')) { Add-MpPreference -ExclusionPath $path }
}
$broad = @($preferences.ExclusionExtension | Where-Object { $_ -match '^\.?vhdx?$' })
if ($broad.Count -gt 0) {
    Write-Warning "The extensions $($broad -join ', ') are excluded on the entire machine. Remove them: Remove-MpPreference -ExclusionExtension $($broad -join ',')"
}
Write-Output "$($wanted.Count - $missing.Count) of $($wanted.Count) exclusions were already present."
